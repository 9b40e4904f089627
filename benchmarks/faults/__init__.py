"""Classic silent mistakes, injected one by one into a working pipeline, and who notices."""
