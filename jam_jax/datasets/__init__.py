"""Pictures with captions, as pairs: where they come from and who belongs to whom."""
