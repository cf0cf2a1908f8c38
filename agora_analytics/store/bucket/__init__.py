"""A store in a bucket of S3, Google Cloud Storage or Azure: Parquet objects, made visible by Delta logs.

Only `open_store` imports these modules; they need the extra `bucket` (obstore and deltalake).
"""
