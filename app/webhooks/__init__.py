"""HTTP out: takes owed deliveries from the store and attempts them until they are delivered or dead."""
