"""What the tests share: the running binary, a signer of our own, requests as bytes."""
