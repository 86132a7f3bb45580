"""Objects in a bucket: Amazon S3, what speaks like it, Google Cloud Storage, Azure Blob Storage."""
