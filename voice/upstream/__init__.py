"""What the upstream engine is made of: the address, the words it sends, the mirror, one answer, one connection."""
