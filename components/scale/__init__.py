"""Scale: a candidate beside what is in service, and into service when it is good enough; back when it is not."""
