"""Webhooks: the events of the book, pushed to destinations. A process of its own delivers them (`delivery_worker`)."""
