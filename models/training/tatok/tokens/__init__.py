"""Token data sets: the tokens of many images in a folder of Parquet files, made on one machine or on a cluster."""
