//! What the endpoint counted; the driver reads it for the metrics.

/// Totals since the start. Each thing refused, dropped or absorbed has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub datagrams: u64,
    /// Of these, empty ones and line ends that keep a NAT open.
    pub keep_alives: u64,
    /// Of these, what is no SIP message; nobody is answered.
    pub unreadable: u64,
    /// Requests without a Via to answer by; nobody is answered.
    pub unanswerable: u64,
    /// Requests that broke a rule and got the 4xx or 5xx for it.
    pub requests_invalid: u64,
    /// Responses that broke a rule and were dropped.
    pub responses_invalid: u64,
    /// Requests that came again and were answered from the transaction or absorbed.
    pub requests_repeated: u64,
    /// Responses to nothing we asked.
    pub responses_stray: u64,
    /// ACKs for nothing we answered, or for what was acknowledged before.
    pub acks_stray: u64,
    /// Requests within no session of ours: 481.
    pub requests_stray: u64,
    /// INFOs that the end of their session had overtaken: 481, and what they say was told.
    pub infos_late: u64,
    /// Requests with a CSeq that is not above the last: 500.
    pub requests_stale: u64,
    /// INVITEs that came by two ways: 482 for the second.
    pub requests_merged: u64,
    /// Requests with an extension we lack: 420.
    pub extensions_refused: u64,
    /// Requests with a method we lack: 405.
    pub methods_refused: u64,
    /// INVITEs at the end of their hops: 483.
    pub hops_exhausted: u64,
    /// INVITEs refused with 503 because we are closing.
    pub refused_closed: u64,
    /// INVITEs refused at [`super::Settings::sessions_max`], theirs and ours.
    pub refused_sessions: u64,
    /// Requests refused at [`super::Settings::transactions_max`], theirs and ours.
    pub refused_transactions: u64,
    /// Requests within a session refused because as many as it may hold wait for an answer.
    pub refused_pending: u64,
    /// Re-INVITEs and UPDATEs refused because another was not finished: 500 or 491.
    pub refused_glare: u64,
    /// Provisional responses of one early dialog too many, dropped.
    pub early_dialogs_refused: u64,
    /// Forked 2xx that were acknowledged and hung up at once.
    pub forks_ended: u64,
    /// Forked 2xx beyond what is remembered of one INVITE, dropped.
    pub forks_ignored: u64,
    /// 2xx that crossed our CANCEL.
    pub cancels_crossed: u64,
    /// Our 2xx that were never acknowledged.
    pub acks_missing: u64,
    /// Our BYEs that were never answered.
    pub byes_unanswered: u64,
    /// Requests that the room above never answered.
    pub requests_abandoned: u64,
    /// Messages that we sent again.
    pub retransmissions: u64,
    /// Datagrams dropped because the driver let too many lie.
    pub transmits_dropped: u64,
    /// Headers of the room above that were not fit to send.
    pub headers_refused: u64,
    /// Commands for a session or transaction that was gone, or in no state for them: they
    /// crossed its last event.
    pub commands_late: u64,
}
