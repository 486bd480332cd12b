"""The data lake: Parquet partitions and their manifest, read by `Lake`, written by `downloader`."""
