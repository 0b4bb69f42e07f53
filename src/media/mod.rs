//! RTP and RTCP, G.711, prompts and their pace, who may be believed, and the relay between legs.
