"""Into the lake: parse files, refuse or repair what is wrong, write partitions."""
