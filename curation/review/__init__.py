"""What people do to rationales: rank, accept, correct, remark, decide."""
