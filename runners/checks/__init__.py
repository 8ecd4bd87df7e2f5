"""Does an editor keep the contract? One file per family of checks; `suite` runs them all."""
