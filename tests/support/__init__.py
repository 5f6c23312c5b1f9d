"""What the tests stand on: real servers, an isolated environment, repositories, kill points."""
