//! What a campaign is, and which campaign a call belongs to.
