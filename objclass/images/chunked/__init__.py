"""Images in chunks: grids, packed chunks, the cache of unpacked ones."""
