use super::*;
#[test]
fn a_new_store_is_empty_and_up_to_date() {
    let store = Store::in_memory().unwrap();
    assert!(store.status().unwrap().sources.is_empty());
}
