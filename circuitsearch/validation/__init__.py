"""Validation of a circuit on prompts that it was not found on."""

from circuitsearch.validation.behaviour import Behaviour as Behaviour
from circuitsearch.validation.behaviour import behaviour as behaviour
from circuitsearch.validation.checks import Check as Check
from circuitsearch.validation.checks.curve import size_curve as size_curve
from circuitsearch.validation.checks.new_prompts import Generalisation as Generalisation
from circuitsearch.validation.checks.new_prompts import generalisation as generalisation
from circuitsearch.validation.comparable import comparable as comparable
from circuitsearch.validation.cross_task import Specificity as Specificity
from circuitsearch.validation.measurement import Interval as Interval
from circuitsearch.validation.measurement import Measurement as Measurement
from circuitsearch.validation.mechanism import Mechanism as Mechanism
from circuitsearch.validation.mechanism import Mechanisms as Mechanisms
from circuitsearch.validation.mechanisms import Clusters as Clusters
from circuitsearch.validation.mechanisms import mechanisms as mechanisms
from circuitsearch.validation.report import Report as Report
from circuitsearch.validation.significance import TaskTest as TaskTest
from circuitsearch.validation.specificity import specificity as specificity
from circuitsearch.validation.trial import Trial as Trial
from circuitsearch.validation.validate import validate as validate
