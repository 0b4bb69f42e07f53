//! SIP (RFC 3261) as pure machines: messages, transactions, dialogs, sessions.
