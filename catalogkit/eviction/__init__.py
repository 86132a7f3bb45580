"""Which contents nobody will ask for again: demand predicted from the access log, tested on the log's past."""
