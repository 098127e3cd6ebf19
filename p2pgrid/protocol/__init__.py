"""What peers say to each other: pure values, no I/O, no clock, no chance.

Glossary, used everywhere with one meaning:

- *domain*: one data owner's node; *network*: a registry's node; *node*: either.
- *peer*: whoever speaks ``/p2pgrid/1``: a node or a scientist's program; named by its key.
- *account*: a name at one node, bound to an enrolled public key, with a role.
- *dataset*: named tensors that an owner published; *tensor*: one array of it.
- *pointer*: a handle to an object inside somebody else's domain.
- *object*: a tensor of a dataset, or the result of an operation on objects.
- *source*: a dataset that an object derives from; every source must allow a ``get``.
- *record*: a statement signed by a node's key, with sequence number and expiry.
- *capability*: a signed chain of *grants*; each of its links names its *audience*, the key that may
  use it or add a narrower one. *Scope*: what all links together allow.
- *schema*: what is public about the columns of a tensor, or the tensors of a dataset; its *bounds*
  are known without the data.
- *split*: train, dev or test; all splits of a dataset have its schema.
- *entity*: whoever data are about; every row belongs to one.
- *mock*: values made of a schema and a number of rows alone.
- *session*: one logged-in link between two peers; it names the objects it makes.
"""
