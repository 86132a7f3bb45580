"""Which contents will nobody ask for again: demand told from the access log, proved on the log's own past."""
