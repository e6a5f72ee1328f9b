"""The checks of what operations do, which no model states. Each module holds the checks of one kind of resource."""
