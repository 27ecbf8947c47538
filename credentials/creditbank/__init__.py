"""The credit bank: recognised achievements as records with integer credits, and each learner's account of them.

Credits are whole hundredths, so that no sum is ever rounded. The same achievement is never recognised twice. This
package refuses to move or convert credits: it records what was recognised, by whom, and with which credential.
"""
