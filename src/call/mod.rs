//! The call itself: the only pure room that knows both wire and domain.
