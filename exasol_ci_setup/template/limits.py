"""CloudFormation's limits for templates.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
"""

from __future__ import annotations

from typing import Final

LARGEST_BODY: Final = 51_200
"""Maximum bytes of a template in a request."""
# AWS documents 1 MB, and its error says "Template may not exceed 1000000 bytes in size".
LARGEST_TEMPLATE: Final = 1_000_000
"""Maximum bytes of a template that CloudFormation reads from a bucket."""
LARGEST_PARAMETER: Final = 4_096
"""Maximum bytes of a parameter's value."""
