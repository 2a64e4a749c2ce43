"""Measurements of the service; each prints a table and is no part of the tests."""
