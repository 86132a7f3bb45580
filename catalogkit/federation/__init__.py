"""More than one site: what changed where, who knows of it, and what becomes of changes made apart."""
