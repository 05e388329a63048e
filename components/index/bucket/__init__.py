"""The index in an S3 bucket: one machine writes a copy of what it published, others read it."""
