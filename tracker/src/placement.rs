//! Which devices a new file goes to. Pure: plain data in, plain data out.
