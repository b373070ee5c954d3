"""Tests; a package, so that files of one name in two folders do not clash."""
