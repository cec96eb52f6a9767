"""Which revision is served: judged against the one before, registered, brought back, traced."""
