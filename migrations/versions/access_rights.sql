-- Who may do what, as data. tests/access/test_matrix.py holds this table against the expected one, cell by cell.
INSERT INTO role (code, name, duty) VALUES
    ('collector', 'revenue collector', 'moves'), ('clerk', 'revenue clerk', 'moves'), ('cashier', 'cashier', 'moves'),
    ('supervisor', 'supervisor', 'moves'), ('finance_officer', 'finance officer', 'moves'),
    ('auditor', 'internal auditor', 'audits'), ('department_officer', 'department officer', NULL),
    ('ict', 'ICT officer', NULL), ('administrator', 'administrator', 'grants');

INSERT INTO permission (code, what, judgement) VALUES
    ('read', 'look at bills, payments, breaks and reports', false),
    ('audit.read', 'read the audit trail', false),
    ('export', 'take reports out of the system', false),
    ('payer.register', 'register a payer', false),
    ('payer.unmask', 'see a payer''s phone number', false),
    ('bill.issue', 'issue a bill', false),
    ('bill.cancel.ask', 'ask that a bill be cancelled', false),
    ('bill.cancel.agree', 'agree that a bill be cancelled', true),
    ('push.request', 'ask a payer''s phone to pay', false),
    ('break.assign', 'give a break an owner', false),
    ('matching.run', 'run the matching of suspense', false),
    ('match.ask', 'ask that suspense pays a bill', false),
    ('match.agree', 'agree that suspense pays a bill', true),
    ('match.set', 'set what the engine proposed at the exact amount, below the county''s limit', false),
    ('match.reverse.ask', 'ask that a match be taken back', false),
    ('match.reverse.agree', 'agree that a match be taken back', true),
    ('policy.ask', 'propose and try a matching policy', false),
    ('policy.agree', 'put a matching policy into force', true),
    ('link.ask', 'ask that words mean a payer', false),
    ('link.agree', 'agree that words mean a payer', true),
    ('statement.bring', 'bring a statement file', false),
    ('statement.attest', 'enter a statement''s closing balance from their own view of the account', true),
    ('statement.gap.ask', 'ask that a missing statement be accepted', false),
    ('statement.gap.agree', 'agree that a missing statement be accepted', true),
    ('channel.ask', 'ask for a change of a channel or bank account', false),
    ('channel.agree', 'agree to a change of a channel or bank account', true),
    ('provider.ask', 'ask a provider for what it has', false),
    ('tariff.ask', 'ask for a change of a tariff', false),
    ('tariff.agree', 'agree to a change of a tariff', true),
    ('day.close', 'close a day', true),
    ('person.ask', 'ask for a new person, a role or a reset', false),
    ('person.agree', 'agree to a new person, a role or a reset', true),
    ('person.disable', 'shut a person out at once', true),
    ('person.read', 'list persons, roles and tokens', false),
    ('token.issue', 'issue and end a service''s tokens', true);

INSERT INTO role_permission (role, permission, limit_minor)
SELECT r, p, NULL FROM (VALUES
    ('collector', 'read payer.register bill.issue push.request'),
    ('clerk', 'read payer.register bill.issue bill.cancel.ask push.request match.ask match.set match.reverse.ask link.ask'
        ' statement.bring'),
    ('cashier', 'read push.request match.ask match.set match.reverse.ask statement.bring statement.attest'
        ' statement.gap.ask provider.ask'),
    ('supervisor', 'read export payer.register payer.unmask bill.issue bill.cancel.ask bill.cancel.agree push.request'
        ' break.assign matching.run match.ask match.agree match.set match.reverse.ask match.reverse.agree policy.ask'
        ' link.ask link.agree statement.bring statement.attest statement.gap.ask provider.ask tariff.ask'),
    ('finance_officer', 'read export payer.unmask bill.cancel.ask bill.cancel.agree break.assign matching.run match.ask'
        ' match.agree match.set match.reverse.ask match.reverse.agree policy.ask policy.agree link.ask link.agree'
        ' statement.bring statement.attest statement.gap.ask statement.gap.agree channel.ask channel.agree provider.ask'
        ' tariff.ask tariff.agree day.close'),
    ('auditor', 'read audit.read export payer.unmask person.read'),
    ('department_officer', 'read export'),
    ('ict', 'read channel.ask provider.ask'),
    ('administrator', 'read person.ask person.agree person.disable person.read token.issue')
) AS given (r, listed), regexp_split_to_table(listed, ' ') AS p;
UPDATE role_permission SET limit_minor = 5000000 WHERE role = 'supervisor' AND permission IN ('match.agree', 'bill.cancel.agree');
UPDATE role_permission SET limit_minor = 100000 WHERE permission = 'match.set' AND role IN ('clerk', 'cashier');
UPDATE role_permission SET limit_minor = 1000000 WHERE permission = 'match.set' AND role IN ('supervisor', 'finance_officer');
