"""Measures what the README says: the cost to a training loop beside its peers, the shipper's rates, memory."""
