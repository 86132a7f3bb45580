"""Federation: several sites, their changes, and how changes made apart are merged."""
