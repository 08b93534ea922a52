"""From what a user has (a name, a file, an array, a loader) to blocks of rows."""
