"""Access keys with restricted policies, and the settings file that configures them."""

from tests.e2e.aws.documented_example import ACCOUNT_ID, STAGE_ARN
from tests.e2e.server import Key

OTHER_ACCOUNT_ID = "210987654321"

READER = Key(access_key_id="AKIAREADER0000000001", secret_access_key="the secret of the reader")
ONE_STAGE = Key(access_key_id="AKIAONESTAGE00000001", secret_access_key="the secret of the one stage")
NO_DELETE = Key(access_key_id="AKIANODELETE00000001", secret_access_key="the secret of no-delete")
NO_RIGHTS = Key(access_key_id="AKIANORIGHTS00000001", secret_access_key="the secret of no-rights")
OTHER_ACCOUNT = Key(access_key_id="AKIAOTHERACCOUNT0001", secret_access_key="the secret of the other account")

CONFIG = f"""
[[credentials]]
access_key_id = "{READER.access_key_id}"
secret_access_key = "{READER.secret_access_key}"
account_id = "{ACCOUNT_ID}"
user_name = "reader"
policy.Statement = [{{ Effect = "Allow", Action = ["ivs:Get*", "ivs:List*"], Resource = "*" }}]

[[credentials]]
access_key_id = "{ONE_STAGE.access_key_id}"
secret_access_key = "{ONE_STAGE.secret_access_key}"
account_id = "{ACCOUNT_ID}"
user_name = "one-stage"
policy.Statement = [{{ Effect = "Allow", Action = "ivs:*", Resource = "{STAGE_ARN}" }}]

[[credentials]]
access_key_id = "{NO_DELETE.access_key_id}"
secret_access_key = "{NO_DELETE.secret_access_key}"
account_id = "{ACCOUNT_ID}"
user_name = "no-delete"
policy.Statement = [
    {{ Effect = "Deny", Action = "ivs:DeleteStage", Resource = "*" }},
    {{ Effect = "Allow", Action = "ivs:*", Resource = "*" }},
]

[[credentials]]
access_key_id = "{NO_RIGHTS.access_key_id}"
secret_access_key = "{NO_RIGHTS.secret_access_key}"
account_id = "{ACCOUNT_ID}"
user_name = "no-rights"
policy.Statement = []

[[credentials]]
access_key_id = "{OTHER_ACCOUNT.access_key_id}"
secret_access_key = "{OTHER_ACCOUNT.secret_access_key}"
account_id = "{OTHER_ACCOUNT_ID}"
user_name = "other-account"
policy.Statement = [{{ Effect = "Allow", Action = "*", Resource = "*" }}]
"""
