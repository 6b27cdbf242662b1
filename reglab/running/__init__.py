"""One run, from its configuration to its record, and the processes that train runs for a sweep."""
