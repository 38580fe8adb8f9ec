"""The composition root: settings in, one running role out. The only place where the parts meet, a role a file."""
