//! The journal and the database behind the suppression room's traits.
