"""`evaluate`: how good encoders are on patients they have not seen, with everything beside it."""
