//! A process begins: what one that was killed had under way is given out again at once, not when its lease is over.

use serde_json::json;

use super::Resumed;
use super::work::{Done, NO_CASE, Work};
use crate::responder::case::Who;

/// Look-ups of one request that may have been cut off and are repeated at once. More may mean that it is the request that ends the process: then it
/// waits a second, and twice as long each time.
const FREE: u32 = 3;

impl Work<'_> {
    /// Gives leases back. Those of parcels that are wanted no more stay, so that nothing overtakes what may still be on its way.
    pub(super) fn begin(&self) -> Done<Resumed> {
        let now = self.now.nanos();
        let look_ups = self.change(
            "UPDATE request SET look_again = min(look_again, CASE WHEN looks <= ?2 THEN 0 ELSE ?1 + (1000000000 << min(looks - ?2 - 1, 10)) END)
             WHERE state = 'received' AND look_again > ?1",
            [now, i64::from(FREE)],
        )?;
        let parcels = self.change(
            "UPDATE parcel SET leased = 0 WHERE dropped = 0 AND leased > ?",
            [now],
        )?;
        if look_ups + parcels > 0 {
            let detail = json!({ "look_ups": look_ups, "parcels": parcels });
            self.line(&Who::Automatic, "resumed", NO_CASE, None, detail)?;
        }
        Ok(Resumed { look_ups, parcels })
    }
}

#[cfg(test)]
mod tests {
    use crate::responder::case::{Mode, Way};
    use crate::responder::desk::Resumed;
    use crate::responder::desk::tests::*;

    #[test]
    fn what_was_under_way_is_given_out_again_at_once() {
        let o = office(Mode::Automatic);
        o.ask("HR-1", certain);
        assert_eq!(o.parcels(NOW).len(), 1);
        let ask = |id| o.desk.take("itg", Way::Push, &request(id, 0), NOW);
        ask("HR-2").unwrap();
        assert_eq!(o.desk.received(9, NOW).unwrap().len(), 1);
        assert!(o.parcels(after(1)).is_empty() && o.desk.received(9, after(1)).unwrap().is_empty());
        let one_of_each = Resumed {
            look_ups: 1,
            parcels: 1,
        };
        assert_eq!(o.desk.begin(after(1)).unwrap(), one_of_each);
        assert_eq!(o.parcels(after(1)).len(), 1);
        assert_eq!(o.desk.received(9, after(1)).unwrap().len(), 1);
        assert!(o.acts().iter().any(|a| a == "resumed"));
    }

    #[test]
    fn a_request_that_ends_the_process_again_and_again_waits() {
        let o = office(Mode::Automatic);
        o.desk
            .take("itg", Way::Push, &request("HR-1", 0), NOW)
            .unwrap();
        // At once three times, then after 1, 2, 4 … seconds.
        let mut at = 0;
        for wait in [0, 0, 0, 1, 2, 4, 8] {
            assert_eq!(o.desk.received(9, after(at)).unwrap().len(), 1, "at {at}");
            o.desk.begin(after(at)).unwrap();
            if wait > 0 {
                let early = o.desk.received(9, after(at + wait - 1)).unwrap();
                assert!(early.is_empty(), "at {at}");
            }
            at += wait;
        }
    }

    #[test]
    fn what_is_wanted_no_more_keeps_its_lease() {
        use crate::responder::case::Incoming;
        let o = office(Mode::Automatic);
        o.ask("HR-1", certain);
        assert_eq!(o.parcels(NOW).len(), 1);
        let taken_back = Incoming::Withdrawn {
            request: "HR-1".into(),
        };
        o.desk.event("itg", &taken_back, NOW).unwrap();
        assert_eq!(o.desk.begin(after(1)).unwrap(), Resumed::default());
    }
}
