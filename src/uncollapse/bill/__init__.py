"""The bill in nats: models better than a trained one, each with what it gains on rows that did not help to find it."""
