"""CloudFormation's limits for templates.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
"""

from __future__ import annotations

from typing import Final

LARGEST_BODY: Final = 51_200
"""Maximum bytes of a template in a request."""
# AWS documents 1 MB. Some of its errors name 1,000,000 bytes: CloudFormation decides about templates between these two numbers.
LARGEST_TEMPLATE: Final = 1_048_576
"""Maximum bytes of a template that CloudFormation reads from a bucket."""
LARGEST_PARAMETER: Final = 4_096
"""Maximum bytes of a parameter's value."""
