"""The judge as an instrument: verdicts of people, how far it agrees with them, rates corrected for its errors."""
