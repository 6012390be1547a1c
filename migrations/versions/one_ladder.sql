-- One ladder for all ways: what a run doubts a callback doubts, so a callback asks what a run asks, by an index.
SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- An alias is found whatever letters were typed for its digits: O for 0, I and L for 1, S for 5, B for 8, Z for 2, G for 6.
CREATE INDEX ix_alias_folded ON alias (translate(normal, 'OILSBZG', '0115826'));
-- A provider shows the end of a phone.
CREATE INDEX ix_payer_phone_end ON payer ("right"(phone, 3));

-- What was left when its money came has no run yet.
ALTER TABLE match_left ALTER COLUMN run_id DROP NOT NULL;
ALTER TABLE match_suggestion ALTER COLUMN run_id DROP NOT NULL;

-- One key for every name: letters lose their accents as they do in what payers type.
UPDATE alias SET normal = regexp_replace(upper(regexp_replace(normalize(typed, NFD), '[^0-9A-Za-z]', '', 'g')),
                                         '[^0-9A-Z]', '', 'g')
 WHERE typed ~ '[^\x01-\x7f]';
RESET ROLE;
