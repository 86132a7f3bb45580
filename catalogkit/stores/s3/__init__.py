"""Objects in a bucket: Amazon S3, and what speaks like it."""
