"""What tells two states of a profile apart, in the words of somebody who learns with it."""
