"""PostgreSQL: every SQL statement of the product has a name here. Knows rows, not what they mean to a customer."""
