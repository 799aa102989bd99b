"""Hostile input, made by the thousand and run by hand; a small part of it runs with the tests."""
