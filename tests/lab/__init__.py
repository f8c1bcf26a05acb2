"""End-to-end tests on real hosts."""
