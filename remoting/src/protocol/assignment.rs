//! Which client consumes which queue, when the broker decides it; and by pull or by pop.

use crate::header::NoHeader;
use crate::request;

request! {
    /// The body, `QueryAssignmentRequestBody`, says who asks; so does the answer.
    QUERY_ASSIGNMENT => NoHeader,
    pub struct QueryAssignment {}
}

request! {
    /// The body is a `MessageRequestMode`.
    SET_MESSAGE_REQUEST_MODE => NoHeader,
    pub struct SetMessageRequestMode {}
}

request! {
    /// For a slave. The answer's body is a `MessageRequestModes`.
    GET_ALL_MESSAGE_REQUEST_MODE => NoHeader,
    pub struct GetAllMessageRequestMode {}
}
